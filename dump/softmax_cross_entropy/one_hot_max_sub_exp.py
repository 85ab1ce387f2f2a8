# one_hot_max_sub_exp: rows kernel (i32[B], f32[B, 10]) -> (f32[B], f32[B, 10])
#   one_hot -> f32[B, 10]
#   max -> f32[B, 1]
#   sub -> f32[B, 10]
#   exp -> f32[B, 10]
#   sum -> f32[B, 1]
#   log -> f32[B, 1]
#   sub -> f32[B, 10]
#   mul -> f32[B, 10]
#   sum -> f32[B]
#   neg -> f32[B]
#   neg -> f32[B, 10]
#   exp -> f32[B, 10]
#   sum -> f32[B, 1]
#   mul -> f32[B, 10]
#   sub -> f32[B, 10]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        a0 = to_f32(-float_inf)
        a3 = to_f32(0)
        v0 = load_i32(p0, i0, 0)
        v1 = to_i64(v0)
        for j0 in range(s2):
            v2 = load_f32(p1, i0 * s2 + j0, 1)
            v3 = j0
            v4 = v1 == v3
            v5 = to_f32(v4)
            v6 = -v5
            a0 = maximum(a0, v2)
            a3 = a3 + v6
        a1 = to_f32(0)
        for j0 in range(s2):
            v2 = load_f32(p1, i0 * s2 + j0, 1)
            v7 = v2 - a0
            v8 = m_exp(v7)
            a1 = a1 + v8
        a2 = to_f32(0)
        v9 = m_log(a1)
        for j0 in range(s2):
            v2 = load_f32(p1, i0 * s2 + j0, 1)
            v7 = v2 - a0
            v10 = v7 - v9
            v3 = j0
            v4 = v1 == v3
            v5 = to_f32(v4)
            v11 = v5 * v10
            v6 = -v5
            v12 = m_exp(v10)
            v13 = v12 * a3
            v14 = v6 - v13
            a2 = a2 + v11
            store_f32(p3, i0 * s2 + j0, v14, 3)
        v15 = -a2
        store_f32(p2, i0, v15, 2)
