# mul_sub: map kernel (f32[12], f32[12], f32[12], f32[12]) -> (f32[12], f32[12])
#   mul -> f32[12]
#   sub -> f32[12]
#   mul -> f32[12]
#   sub -> f32[12]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 * to_f32(0.1)
        v2 = load_f32(p0, i0, 0)
        v3 = v2 - v1
        v4 = load_f32(p3, i0, 3)
        v5 = v4 * to_f32(0.1)
        v6 = load_f32(p2, i0, 2)
        v7 = v6 - v5
        store_f32(p0, i0, v3, 0)
        store_f32(p2, i0, v7, 2)
