# sub_max_mul: rows kernel (f32[B, 6], f32[1, 6]) -> (f32[B, 6])
#   sub -> f32[B, 6]
#   max -> f32[B, 1]
#   mul -> f32[B, 1]
#   sub -> f32[B, 6]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        a0 = to_f32(-float_inf)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            v1 = load_f32(p1, j0, 1)
            v2 = v0 - v1
            a0 = maximum(a0, v2)
        v3 = a0 * to_f32(0.5)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            v1 = load_f32(p1, j0, 1)
            v2 = v0 - v1
            v4 = v2 - v3
            store_f32(p2, i0 * s2 + j0, v4, 2)
