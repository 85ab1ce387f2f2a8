# sub_sum: rows kernel (f32[4, 4], f32[4]) -> (f32[4, 4], f32[4, 1])
#   sub -> f32[4, 4]
#   sum -> f32[4, 1]
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
        a0 = to_f32(0)
        for j0 in range(s1):
            v0 = load_f32(p0, i0 * s1 + j0, 0)
            v1 = load_f32(p1, j0, 1)
            v2 = v0 - v1
            a0 = a0 + v0
            store_f32(p2, i0 * s1 + j0, v2, 2)
        store_f32(p3, i0, a0, 3)
