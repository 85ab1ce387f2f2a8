# add_rsqrt_mul: map kernel (f32[4], f32[4]) -> (f32[4])
#   add -> f32[4]
#   rsqrt -> f32[4]
#   mul -> f32[4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 + to_f32(0.001)
        v2 = m_rsqrt(v1)
        v3 = load_f32(p0, i0, 0)
        v4 = v3 * v2
        store_f32(p2, i0, v4, 2)
