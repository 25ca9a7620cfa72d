"""Functions with a backward of their own, for the tests: made for torch or for this package."""


def define(m, forward, backward=lambda ctx, *grads: grads[0], name="Foo", **members):
    """A Function class made of two plain functions."""
    members |= {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(name, (m.autograd.Function,), members)


def double(ctx, x, *_):
    return x * 2


def cube(m):
    class Cube(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    return Cube


def add_one(ctx, x):
    x.add_(1)
    ctx.mark_dirty(x)
    return x
