"""Which modules' doctests can be collected here."""

from autograd_gpu import backends

# These import CuPy and look at the device.
collect_ignore_glob = [] if backends.why_no_cuda() is None else ["autograd_gpu/backends/_cupy*.py"]
