# sum_div_sub_mul: rows kernel (f32[B, 4, 12], f32[12], f32[12]) -> (f32[B, 4, 12], f32[B, 4, 12], f32[B, 4, 12], f32[B, 4, 12])
#   sum -> f32[B, 4, 1]
#   div -> f32[B, 4, 1]
#   sub -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   sum -> f32[B, 4, 1]
#   div -> f32[B, 4, 1]
#   add -> f32[B, 4, 1]
#   rsqrt -> f32[B, 4, 1]
#   mul -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   add -> f32[B, 4, 12]
#   tanh -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   dim_size -> f32[]
#   div -> f32[]
#   mul -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   sub -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
#   add -> f32[B, 4, 12]
#   mul -> f32[B, 4, 12]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
    p5 = address(ptrs, 5)
    p6 = address(ptrs, 6)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        a0 = to_f32(0)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            a0 = a0 + v0
        a1 = to_f32(0)
        v1 = a0 / to_f32(12.0)
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            v2 = v0 - v1
            v3 = v2 * v2
            a1 = a1 + v3
        v4 = a1 / to_f32(12.0)
        v5 = v4 + to_f32(0.001)
        v6 = m_rsqrt(v5)
        v7 = s3
        v8 = to_f32(v7)
        v9 = to_f32(1.0) / v8
        for j0 in range(s2):
            v0 = load_f32(p0, i0 * s2 + j0, 0)
            v2 = v0 - v1
            v10 = v2 * v6
            v11 = load_f32(p1, j0, 1)
            v12 = v10 * v11
            v13 = load_f32(p2, j0, 2)
            v14 = v12 + v13
            v15 = m_tanh(v14)
            v16 = v14 * v15
            v17 = v9 * v15
            v18 = v9 * v14
            v19 = v15 * v15
            v20 = to_f32(1.0) - v19
            v21 = v18 * v20
            v22 = v17 + v21
            v23 = v22 * v10
            store_f32(p3, i0 * s2 + j0, v14, 3)
            store_f32(p4, i0 * s2 + j0, v16, 4)
            store_f32(p5, i0 * s2 + j0, v22, 5)
            store_f32(p6, i0 * s2 + j0, v23, 6)
