# max_mul_sub: rows kernel (f32[B, 6]) -> (f32[B, 6])
#   max -> f32[B, 1]
#   mul -> f32[B, 1]
#   sub -> f32[B, 6]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        a0 = to_f32(-float_inf)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            a0 = maximum(a0, v0)
        v1 = a0 * to_f32(0.5)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            v2 = v0 - v1
            store_f32(p1, i0 * s2 + j0, v2, 1)
