"""CUDA functions that the rows of the table call, where an expression of CUDA's own functions is not enough.

Templates take integers as well; overloads on ``complex<T>`` stand beside CUDA's functions of real numbers.
"""

FLOOR = """
template <class T> __device__ T floored(T x) { return x; }
__device__ inline float floored(float x) { return floorf(x); }
__device__ inline double floored(double x) { return floor(x); }
template <class T> __device__ T truncated(T x) { return x; }
__device__ inline float truncated(float x) { return truncf(x); }
__device__ inline double truncated(double x) { return trunc(x); }
"""

CEIL = """
template <class T> __device__ T ceiled(T x) { return x; }
__device__ inline float ceiled(float x) { return ceilf(x); }
__device__ inline double ceiled(double x) { return ceil(x); }
"""

ROUND = """
template <class T> __device__ T rounded(T x) { return x; }
__device__ inline float rounded(float x) { return rintf(x); }
__device__ inline double rounded(double x) { return rint(x); }
template <class T> __device__ T rounded_to(T x, T decimals) {
    const T power = pow(T(10), decimals < 0 ? -decimals : decimals);
    return decimals < 0 ? rint(x / power) * power : rint(x * power) / power;
}
"""

# Integers: dividing by 0 or the smallest by -1 is undefined in C; here it is -1, as the hardware has it, or wraps.
DIVIDE = """
template <class T> __device__ T quotient(T a, T b) {
    if (b == T(0)) return T(-1);
    return b == T(-1) && T(-1) < T(0) ? T(0 - (unsigned long long)a) : T(a / b);
}
template <class T> __device__ T left_over(T a, T b) {
    return b == T(0) || (b == T(-1) && T(-1) < T(0)) ? T(0) : T(a % b);
}
__device__ inline float left_over(float a, float b) { return fmodf(a, b); }
__device__ inline double left_over(double a, double b) { return fmod(a, b); }
template <class T> __device__ T floor_remainder(T a, T b) {
    const T rest = left_over(a, b);
    return rest != T(0) && (b < T(0)) != (rest < T(0)) ? T(rest + b) : rest;
}
template <class T> __device__ T floor_quotient(T a, T b) {
    const T rest = left_over(a, b);
    return T(quotient(a, b) - T(rest != T(0) && (a < T(0)) != (b < T(0))));
}
template <class T> __device__ T real_floor_quotient(T a, T b) {
    if (b == T(0)) return a / b;
    const T rest = left_over(a, b);
    T exact = (a - rest) / b;
    if (rest != T(0) && (b < T(0)) != (rest < T(0))) exact -= T(1);
    if (exact == T(0)) return copysign(T(0), a / b);
    const T below = floor(exact);
    return exact - below > T(0.5) ? below + T(1) : below;
}
__device__ inline float floor_quotient(float a, float b) { return real_floor_quotient(a, b); }
__device__ inline double floor_quotient(double a, double b) { return real_floor_quotient(a, b); }
template <class T> __device__ T trunc_quotient(T a, T b) { return quotient(a, b); }
__device__ inline float trunc_quotient(float a, float b) { return truncf(a / b); }
__device__ inline double trunc_quotient(double a, double b) { return trunc(a / b); }
"""

POWER = """
template <class T> __device__ T power(T x, T exponent) {
    if (exponent < T(0)) return x == T(1) ? T(1) : x == T(-1) ? (exponent % T(2) ? T(-1) : T(1)) : T(0);
    T result = T(1);
    for (; exponent > T(0); exponent = T(exponent / T(2)), x = T(x * x))
        if (exponent % T(2)) result = T(result * x);
    return result;
}
__device__ inline float power(float x, float exponent) { return powf(x, exponent); }
__device__ inline double power(double x, double exponent) { return pow(x, exponent); }
template <class T> __device__ complex<T> power(complex<T> x, complex<T> exponent) {
    return exponent == complex<T>(0) ? complex<T>(1) : x == complex<T>(0) ? complex<T>(0) : pow(x, exponent);
}
template <class T> __device__ complex<T> power(complex<T> x, T exponent) { return power(x, complex<T>(exponent)); }
template <class T> __device__ complex<T> power(T x, complex<T> exponent) { return power(complex<T>(x), exponent); }
"""

SHIFT = """
template <class T> __device__ T shift_left(T a, T b) {
    return b < T(0) || b >= T(8 * sizeof(T)) ? T(0) : T((unsigned long long)a << b);
}
template <class T> __device__ T shift_right(T a, T b) {
    const T last = T(8 * sizeof(T) - 1);
    return b < T(0) || b > last ? T(a < T(0) ? -1 : 0) : T(a >> b);
}
"""

INFINITE = """
template <class T> __device__ bool infinite(T) { return false; }
__device__ inline bool infinite(float x) { return isinf(x); }
__device__ inline bool infinite(double x) { return isinf(x); }
template <class T> __device__ bool infinite(complex<T> z) { return isinf(z.real()) || isinf(z.imag()); }
"""

SIGN_BIT = """
template <class T> __device__ bool sign_bit(T x) { return x < T(0); }
__device__ inline bool sign_bit(float x) { return signbit(x); }
__device__ inline bool sign_bit(double x) { return signbit(x); }
"""

NAN_TO_NUM = """
template <class T> __device__ T without_nan(T x, T nan, T above, T below) { return x; }
template <class T> __device__ T real_without_nan(T x, T nan, T above, T below) {
    return x != x ? nan : isinf(x) ? (x > T(0) ? above : below) : x;
}
__device__ inline float without_nan(float x, float nan, float above, float below) {
    return real_without_nan(x, nan, above, below);
}
__device__ inline double without_nan(double x, double nan, double above, double below) {
    return real_without_nan(x, nan, above, below);
}
template <class T>
__device__ complex<T> without_nan(complex<T> z, complex<T> nan, complex<T> above, complex<T> below) {
    return complex<T>(real_without_nan(z.real(), nan.real(), above.real(), below.real()),
                      real_without_nan(z.imag(), nan.real(), above.real(), below.real()));
}
"""

SIGN = """
template <class T> __device__ T unit(T x) { return T((x > T(0)) - (x < T(0))); }
template <class T> __device__ complex<T> unit(complex<T> z) {
    return z == complex<T>(0) ? z : z / abs(z);
}
"""

ANGLE = """
template <class T> __device__ T angle(T x) { return x != x ? x : x < T(0) ? T(3.141592653589793) : T(0); }
template <class T> __device__ T angle(complex<T> z) { return arg(z); }
"""

PARTS = """
template <class T> __device__ T conjugate(T x) { return x; }
template <class T> __device__ complex<T> conjugate(complex<T> z) { return conj(z); }
template <class T> __device__ T real_part(T x) { return x; }
template <class T> __device__ T real_part(complex<T> z) { return z.real(); }
template <class T> __device__ T imaginary_part(T) { return T(0); }
template <class T> __device__ T imaginary_part(complex<T> z) { return z.imag(); }
template <class T> __device__ complex<T> of_parts(T x, T y) { return complex<T>(x, y); }
template <class T> __device__ complex<T> of_parts(complex<T> x, complex<T> y) { return {x.real(), y.real()}; }
template <class T> __device__ complex<T> times_i(T x) { return complex<T>(T(0), x); }
template <class T> __device__ complex<T> times_i(complex<T> z) { return complex<T>(-z.imag(), z.real()); }
"""

IS_REAL = """
template <class T> __device__ bool is_real(T) { return true; }
template <class T> __device__ bool is_real(complex<T> z) { return z.imag() == T(0); }
"""

# CUDA has these of real numbers only, and CuPy's of complex ones cancel near 0.
EXP = """
template <class T> __device__ complex<T> exp2(complex<T> z) { return exp(z * T(0.6931471805599453)); }
template <class T> __device__ T exp_minus_1(T x) { return expm1(x); }
template <class T> __device__ complex<T> exp_minus_1(complex<T> z) {
    const T half = sin(z.imag() / T(2));
    return complex<T>(expm1(z.real()) * cos(z.imag()) - T(2) * half * half, exp(z.real()) * sin(z.imag()));
}
"""

LOG = """
template <class T> __device__ T log_of_1_plus(T x) { return log1p(x); }
template <class T> __device__ complex<T> log_of_1_plus(complex<T> z) {
    const T x = z.real(), y = z.imag();
    return abs(z) < T(0.5) ? complex<T>(T(0.5) * log1p(x * (T(2) + x) + y * y), atan2(y, T(1) + x))
                           : log(T(1) + z);
}
"""

COMPLEX_RSQRT = """
template <class T> __device__ complex<T> rsqrt(complex<T> z) { return T(1) / sqrt(z); }
"""

SINC = """
template <class T> __device__ T sinc(T x) {
    const T turned = T(3.141592653589793) * x;
    return x == T(0) ? T(1) : sin(turned) / turned;
}
"""

# Downward reflection, upward recurrence to 10, then the asymptotic series (Abramowitz and Stegun 6.3.7, .5, .18).
DIGAMMA = """
template <class T> __device__ T digamma(T x) {
    if (x == T(0)) return copysign(T(1.0 / 0.0), -x);
    T result = T(0);
    if (x < T(0)) {
        if (x == floor(x)) return T(nan(""));
        const T turned = T(3.141592653589793) * (x - trunc(x));
        result = -T(3.141592653589793) * cos(turned) / sin(turned);
        x = T(1) - x;
    }
    for (; x < T(10); x += T(1)) result -= T(1) / x;
    const T s = T(1) / (x * x);
    const T series = s * (T(1) / 12 - s * (T(1) / 120 - s * (T(1) / 252 - s * (T(1) / 240 - s * (T(1) / 132
                     - s * (T(691) / 32760 - s / T(12)))))));
    return result + log(x) - T(0.5) / x - series;
}
"""

# Hurwitz's zeta by Euler and Maclaurin's formula, as in Cephes (Moshier), and polygamma by it.
POLYGAMMA = """
template <class T> __device__ T zeta(T s, T q) {
    const double terms[] = {12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9,
        7.47242496e10, -2.950130727918164224e12, 1.1646782814350067249e14, -4.5979787224074726105e15,
        1.8152105401943546773e17, -7.1661652561756670113e18};
    if (s == T(1)) return T(1.0 / 0.0);
    if (s < T(1)) return T(nan(""));
    if (isinf(q)) return q > T(0) ? T(0) : q * q;
    if (q <= T(0)) {
        if (q == floor(q)) return T(1.0 / 0.0);
        if (s != floor(s)) return T(nan(""));
    }
    T sum = pow(q, -s), term = T(0);
    for (int k = 0; k < 9 || q <= T(9); ++k) {
        q += T(1);
        term = pow(q, -s);
        sum += term;
    }
    sum += term * q / (s - T(1)) - T(0.5) * term;
    T factor = T(1), k = T(0);
    for (int j = 0; j < 12; ++j) {
        factor *= s + k;
        term /= q;
        sum += factor * term / T(terms[j]);
        k += T(1);
        factor *= s + k;
        term /= q;
        k += T(1);
    }
    return sum;
}
template <class T> __device__ T polygamma(T x, T n) {
    if (n == T(0)) return digamma(x);
    const T size = tgamma(n + T(1)) * zeta(n + T(1), x);
    return fmod(n, T(2)) == T(0) ? -size : size;
}
"""
