# mul: map kernel (f32[B, 2]) -> (f32[B, 2], f32[B, 2])
#   mul -> f32[B, 2]
#   stop_gradient -> f32[B, 2]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p0, i0, 0)
        v1 = v0 * to_f32(2.0)
        store_f32(p1, i0, v1, 1)
        store_f32(p2, i0, v0, 2)
