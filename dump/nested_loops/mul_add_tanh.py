# mul_add_tanh: map kernel (f32[B, 2], f32[2], f32[B, 2]) -> (f32[B, 2], f32[B, 2])
#   mul -> f32[B, 2]
#   add -> f32[B, 2]
#   tanh -> f32[B, 2]
#   add -> f32[B, 2]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p4 = address(ptrs, 4)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s2):
            v0 = load_f32(p0, i0 * s2 + i1, 0)
            v1 = load_f32(p1, i1, 1)
            v2 = v0 * v1
            v3 = load_f32(p2, i0 * s3 + i1, 2)
            v4 = v2 + v3
            v5 = m_tanh(v4)
            v6 = v0 + v1
            store_f32(p0, i0 * s2 + i1, v5, 0)
            store_f32(p4, i0 * s3 + i1, v6, 4)
