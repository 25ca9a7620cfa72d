"""An elementwise operation from its formula: one kernel forward, one backward, derivatives of every order.

A Morse potential binds two atoms; its first and second derivative, the force and the stiffness, follow from the
formula. The Bessel function j0 is no formula of other operations: it is CUDA's own, with derivatives by hand.

    python examples/custom_elementwise.py
"""

from scipy.special import j0, j1

import autograd_gpu as ag

device = "cuda" if ag.cuda.is_available() else "cpu"

# --- a formula ------------------------------------------------------------------------------------

morse = ag.elementwise("depth * (1 - exp(-a * (r - 1)))**2", operands="r, depth, a", name="morse")
print(morse)
print(morse.__doc__)

r = ag.tensor([0.8, 1.0, 1.5, 3.0], device=device, requires_grad=True)
energy = morse(r, 4.5, 1.9)
(slope,) = ag.autograd.grad(energy.sum(), r, create_graph=True)
(stiffness,) = ag.autograd.grad(slope.sum(), r)
print("\nenergy    ", energy.detach().cpu())
print("force     ", -slope.detach().cpu())
print("stiffness ", stiffness.cpu())

# --- CUDA code ------------------------------------------------------------------------------------

bessel1 = ag.elementwise(cuda="j1(x)", operands="x", numpy=j1, name="bessel1")
bessel0 = ag.elementwise(cuda="j0(x)", operands="x", numpy=j0, name="bessel0", partials=[lambda x: -bessel1(x)])
x = ag.tensor([0.0, 1.0, 2.0], device=device, requires_grad=True)
bessel0(x).sum().backward()
print("\nJ0' = -J1 ", x.grad.cpu())
