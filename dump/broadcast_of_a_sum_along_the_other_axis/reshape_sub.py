# reshape_sub: map kernel (f32[4, 4], f32[4, 1]) -> (f32[4, 4])
#   reshape -> f32[1, 4]
#   sub -> f32[4, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s1):
            v0 = load_f32(p0, i0 * s1 + i1, 0)
            v1 = load_f32(p1, i1, 1)
            v2 = v0 - v1
            store_f32(p2, i0 * s1 + i1, v2, 2)
