# transpose_sub: map kernel (f32[B, B]) -> (f32[B, B])
#   transpose -> f32[B, B]
#   sub -> f32[B, B]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s1):
            v0 = load_f32(p0, i0 * s1 + i1, 0)
            v1 = load_f32(p0, i0 + i1 * s1, 0)
            v2 = v0 - v1
            store_f32(p1, i0 * s1 + i1, v2, 1)
