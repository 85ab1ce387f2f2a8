# gather: map kernel (f32[4, 4], i32[4]) -> (f32[4, 4])
#   gather -> f32[4, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_i32(p1, i0, 1)
        v1 = to_i64(v0)
        v2 = minimum(maximum(v1, 0), s1 - 1)
        if v2 != v1:
            store_i64(s2, 2, v1)
            store_i64(s2, 1, s3)
            store_i64(s2, 0, 2)
        for i1 in range(s1):
            v3 = load_f32(p0, i1 + v2 * s1, 0)
            store_f32(p2, i0 * s1 + i1, v3, 2)
