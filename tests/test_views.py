"""Views and writes: random programs of both have the values, gradients, versions, flags and errors that torch gives."""

from programs import Programs, assert_agrees, leaf

agrees = Programs()


@agrees.parametrize()
def test_views_and_writes_agree_with_torch(program, device):
    assert_agrees(program, device)


# --- views ---------------------------------------------------------------------------------------------------


def matrix(m, device):
    return m.arange(6.0, device=device).view(2, 3).requires_grad_()


@agrees
def views_share_a_version(m, device):
    x = m.ones(2, 3, device=device)
    views = [x.view(6), x[0], x.t(), x.unsqueeze(0), x.expand(2, 2, 3), x.detach(), x.unbind()[1], x[:, 1:]]
    versions = []
    for view in [x, views[0], views[5], views[7]]:
        view.add_(1)
        versions.append([v._version for v in [x, *views]])
    copies = [x.clone(), x + 0, x.data, x[[0, 1]], x.t().reshape(-1)]
    x.zero_()
    return versions, [c._version for c in copies], x._version, views


@agrees
def writes_through_data_are_not_counted(m, device):
    x = leaf(m, device)
    y = x * x
    x.data.add_(1)
    before = x._version
    y.sum().backward()
    return before, x, x.grad


@agrees
def bases(m, device):
    x = m.ones(2, 3, device=device)
    v = x[0]
    w = v.view(3, 1)
    return x._base, v._base is x, w._base is x, x.clone()._base, x.detach()._base


@agrees
def a_write_to_a_view_reaches_the_base_and_other_views(m, device):
    x = leaf(m, device)
    base = x * 1
    before, v = base[1:], base[:2]
    v.mul_(3)
    after = base.view(3, 1)
    y = (before * 2).sum() + (base * base).sum() + (after * v.sum()).sum()
    y.backward()
    return base, before, after, base.grad_fn, before.grad_fn, after.grad_fn, x.grad


@agrees
def a_write_to_the_base_reaches_the_views(m, device):
    x = matrix(m, device)
    base = x * 1
    views = [base.t(), base[0], base[:, 1:], base.view(-1), base.expand(2, 2, 3), base.unfold(1, 2, 1), base.diagonal()]
    base.mul_(m.arange(6.0, device=device).view(2, 3) + 1)
    sum((v * v).sum() for v in views).backward()
    return views, x.grad


@agrees
def a_view_of_a_view_of_a_view(m, device):
    x = matrix(m, device)
    base = x * 1
    w = base.t()[1:].unsqueeze(1)[..., 0]
    w.mul_(x.sum())
    base[1].mul_(2)
    (base * base).sum().backward()
    return base, w, x.grad, w._version


@agrees
def second_derivatives_through_writes(m, device):
    x = matrix(m, device)
    base = x * x
    v = base[0]
    v.mul_(v.detach() + x[1])
    base.t()[1].exp_()
    (g,) = m.autograd.grad((base * base).sum() + v.sum(), x, create_graph=True)
    return g, m.autograd.grad((g * g).sum(), x)


@agrees
def second_derivatives_through_views_derived_anew(m, device):
    x = matrix(m, device)
    base = x * x
    v, w = base.expand(2, 2, 3), base.view(-1)[1:3]
    base.mul_(x)
    (g,) = m.autograd.grad((v * v).sum() + w.prod(), x, create_graph=True)
    return g, m.autograd.grad((g * g).sum(), x)


@agrees
def writes_to_views_of_a_transposed_base(m, device):
    x = m.arange(12.0, device=device).view(3, 4).requires_grad_()
    base = (x * 1).t()
    for make in (lambda: base.t().view(-1), lambda: base.t().view(2, 6), lambda: base[1:], lambda: base.t()[0]):
        make().mul_(2)
        make()[0] = 7.0
    (base * base).sum().backward()
    return base, x.grad


@agrees
def writes_to_permuted_memory(m, device):
    x = m.arange(24.0, device=device).view(2, 3, 4).requires_grad_()
    base = (x * 1).permute(2, 0, 1).clone(memory_format=m.preserve_format)
    flat = base.permute(1, 2, 0).view(6, 4)
    flat[2:4].sin_()
    (base * base).sum().backward()
    return base, flat, x.grad


@agrees
def writes_to_zero_dimensional_tensors(m, device):
    x = m.tensor(2.0, device=device, requires_grad=True)
    base = x * 1
    base.view(1).mul_(3)
    base.unsqueeze(0)[0] = base.clone() * x
    v = base.view(1, 1)
    base.exp_()
    (v * base).sum().backward()
    return base, v, x.grad


@agrees
def writes_to_parts_of_complex_numbers(m, device):
    z = m.tensor([1 + 2j, 3 - 1j], device=device, requires_grad=True)
    base = z * 1
    base.real.mul_(2)
    m.view_as_real(base)[:, 1].exp_()
    (base.abs() ** 2).sum().backward()
    return base, z.grad


@agrees
def a_view_written_to_makes_its_base_require_grad(m, device):
    x = leaf(m, device)
    base = m.zeros(2, 3, device=device)
    row, other = base[0], base[1]
    row.copy_(x * 2)
    ((base * base).sum() + other.sum()).backward()
    return base, base.requires_grad, row.requires_grad, other.requires_grad, row.grad_fn, x.grad


@agrees
def slices_of_a_constant_filled_one_by_one(m, device):
    x = leaf(m, device)
    out = m.zeros(3, device=device)
    for i in range(3):
        out[i] = x[i] ** (i + 1) if i == 0 else out[i - 1].clone() * x[i]
    out.sum().backward()
    return out, out.grad_fn, out._version, x.grad


@agrees
def all_kinds_of_assignment(m, device):
    x = matrix(m, device)
    found = []
    for key in (
        0,
        -1,
        slice(0, 1),
        (slice(None), 1),
        (0, 2),
        ...,
        None,
        (slice(None), slice(None, None, 2)),
        [0, 1],
        (1, [0, 2]),
    ):
        base = x * 2
        base[key] = base[key].clone() * x.sum() + 1
        base[key] = 3.0 if key == 0 else base[key].detach()
        found.append(base)
    mask = m.tensor([[True, False, True], [False, False, True]], device=device)
    base = x * 2
    base[mask] = x[0] * 5
    base[~mask] *= 2
    found.append(base)
    sum((y * y).sum() for y in found).backward()
    return found, x.grad


@agrees
def augmented_assignment_to_items(m, device):
    x = matrix(m, device)
    base = x * 1
    base[0] *= x[1]
    base[:, 1] += 3
    base[1, 2] /= 2
    base.sum().backward()
    return base, base._version, x.grad


@agrees
def writes_that_keep_what_they_need(m, device):
    """Operands that are written over: torch and we keep copies."""
    found = []
    for write in (
        lambda y, w: y.mul_(w),
        lambda y, w: y.exp_(),
        lambda y, w: y.mul_(2).sigmoid_(),
        lambda y, w: y.add_(w).sin_(),
        lambda y, w: y.div_(w).neg_(),
        lambda y, w: y.abs_(),
        lambda y, w: y.pow_(2),
        lambda y, w: y.clamp_(0.5, 2.5),
        lambda y, w: y.sub_(w, alpha=2).neg_(),
    ):
        x, w = leaf(m, device), leaf(m, device, (0.5, 1.5, 2.0))
        y = write(x * 1, w)
        (y * w).sum().backward()
        found.append((y, y.grad_fn.next_functions != (), y._version, x.grad, w.grad))
    return found


@agrees
def a_saved_value_assigned_elsewhere_stays_its_own(m, device):
    x = leaf(m, device)
    y = x.tanh()
    buffer = m.zeros(2, 3, device=device)
    buffer[0] = y
    buffer[1].copy_(y)
    buffer.mul_(3)
    (buffer * buffer).sum().backward()
    return buffer, x.grad


@agrees
def writes_without_recording(m, device):
    x = leaf(m, device)
    base = x * 2
    v = base[:2]
    with m.no_grad():
        v.mul_(5)
        base[2] = 1.0
        x.add_(1)
    base.sum().backward()
    return base, v._version, x._version, type(base.grad_fn).__name__, x.grad


@agrees
def views_made_without_recording(m, device):
    x = leaf(m, device)
    base = x * 1
    with m.no_grad():
        v, w = base[:2], x[:2]
        c = m.ones(3, device=device)[:2]
    return [(t, t.requires_grad, t.is_leaf, t.grad_fn) for t in (v, w, c, v.detach())]


@agrees
def a_leaf_written_to_without_recording(m, device):
    x = leaf(m, device)
    for _ in range(2):
        (x * x).sum().backward()
        with m.no_grad():
            x -= 0.1 * x.grad
            x.grad.zero_()
    return x, x.is_leaf, x._version


@agrees
def a_view_that_is_a_leaf(m, device):
    base = m.ones(3, device=device)
    v = base[:2].requires_grad_()
    (v * 2).sum().backward()
    return v.is_leaf, v.requires_grad, base.requires_grad, v.grad


@agrees
def broadcasting_into_a_write(m, device):
    x, row = matrix(m, device), leaf(m, device)
    y = x * 1
    y.add_(row)
    y[:, 0] = row.sum()
    y.mul_(m.ones(1, device=device) * 2)
    y.sum().backward()
    return y, x.grad, row.grad


@agrees
def casts_into_a_write(m, device):
    x = m.ones(3, dtype=m.float64, device=device, requires_grad=True)
    y = m.zeros(3, device=device)
    y.add_(x)
    y.mul_(m.tensor([1, 2, 3], device=device))
    y.sum().backward()
    i = m.zeros(3, dtype=m.int64, device=device)
    i[:] = m.tensor([1.9, -1.9, 2.0], device=device)
    return y, x.grad, i
