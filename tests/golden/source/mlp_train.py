# dim_size_div: map kernel () -> (f32[])
#   dim_size -> f32[]
#   div -> f32[]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    s0 = dim(dims, 1)
    v0 = s0
    v1 = to_f32(v0)
    v2 = to_f32(1.0) / v1
    store_f32(p0, 0, v2, 0)


# matmul_add_relu: gemm kernel (f32[B, 8], f32[8, 16], f32[16]) -> (f32[B, 16])
#   matmul -> f32[B, 16]
#   add -> f32[B, 16]
#   relu -> f32[B, 16]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p0 + (i_low * s2) * 4, s2, s3,
            p1 + (j_low * s3) * 4, s1, s3,
            p3 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p3, i0 * s1 + i1, 3)
                v1 = load_f32(p2, i1, 2)
                v2 = v0 + v1
                v3 = select(v2 <= 0, to_f32(0.0), v2)
                store_f32(p3, i0 * s1 + i1, v3, 3)


# matmul_add: gemm kernel (f32[B, 16], f32[16, 3], f32[3]) -> (f32[B, 3])
#   matmul -> f32[B, 3]
#   add -> f32[B, 3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p0 + (i_low * s2) * 4, s2, s3,
            p1 + (j_low * s3) * 4, s1, s3,
            p3 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p3, i0 * s1 + i1, 3)
                v1 = load_f32(p2, i1, 2)
                v2 = v0 + v1
                store_f32(p3, i0 * s1 + i1, v2, 3)


# one_hot_max_sub_exp: rows kernel (i32[B], f32[B, 3], f32[]) -> (f32[B], f32[B, 3])
#   one_hot -> f32[B, 3]
#   max -> f32[B, 1]
#   sub -> f32[B, 3]
#   exp -> f32[B, 3]
#   sum -> f32[B, 1]
#   log -> f32[B, 1]
#   sub -> f32[B, 3]
#   mul -> f32[B, 3]
#   sum -> f32[B]
#   neg -> f32[B]
#   neg -> f32[]
#   mul -> f32[B, 3]
#   exp -> f32[B, 3]
#   sum -> f32[B, 1]
#   mul -> f32[B, 3]
#   sub -> f32[B, 3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
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
        v2 = load_f32(p2, 0, 2)
        v3 = -v2
        for j0 in range(s2):
            v4 = load_f32(p1, i0 * s2 + j0, 1)
            v5 = j0
            v6 = v1 == v5
            v7 = to_f32(v6)
            v8 = v3 * v7
            a0 = maximum(a0, v4)
            a3 = a3 + v8
        a1 = to_f32(0)
        for j0 in range(s2):
            v4 = load_f32(p1, i0 * s2 + j0, 1)
            v9 = v4 - a0
            v10 = m_exp(v9)
            a1 = a1 + v10
        a2 = to_f32(0)
        v11 = m_log(a1)
        for j0 in range(s2):
            v4 = load_f32(p1, i0 * s2 + j0, 1)
            v9 = v4 - a0
            v12 = v9 - v11
            v5 = j0
            v6 = v1 == v5
            v7 = to_f32(v6)
            v13 = v7 * v12
            v8 = v3 * v7
            v14 = m_exp(v12)
            v15 = v14 * a3
            v16 = v8 - v15
            a2 = a2 + v13
            store_f32(p4, i0 * s2 + j0, v16, 4)
        v17 = -a2
        store_f32(p3, i0, v17, 3)


# sum_dim_size_div: rows kernel (f32[B]) -> (f32[])
#   sum -> f32[]
#   dim_size -> f32[]
#   div -> f32[]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    a0 = to_f32(0)
    for j0 in range(s0):
        v0 = load_f32(p0, j0, 0)
        a0 = a0 + v0
    v1 = s0
    v2 = to_f32(v1)
    v3 = a0 / v2
    store_f32(p1, 0, v3, 1)


# sum: cols kernel (f32[B, 3]) -> (f32[3])
#   sum -> f32[3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    phase = dim(dims, 0)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    if phase == 0:
        for part in range(begin, end):
            for k0 in range(s2):
                store_f32(p2, part * s2 + k0, to_f32(0), 2)
            low = part * s0
            high = min(low + s0, s1)
            for j0 in range(low, high):
                for k0 in range(s2):
                    v0 = load_f32(p0, j0 * s2 + k0, 0)
                    store_f32(p2, part * s2 + k0, load_f32(p2, part * s2 + k0, 2) + v0, 2)
    else:
        for k0 in range(s2):
            a0 = load_f32(p2, k0, 2)
            for part in range(1, s3):
                a0 = a0 + load_f32(p2, part * s2 + k0, 2)
            store_f32(p1, k0, a0, 1)


# gt_matmul_select: gemm kernel (f32[B, 16], f32[B, 3], f32[16, 3]) -> (f32[B, 16])
#   gt -> bool[B, 16]
#   matmul -> f32[B, 16]
#   select -> f32[B, 16]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p1 + (i_low * s2) * 4, s2, s3,
            p2 + (j_low * s2) * 4, s3, s2,
            p3 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p0, i0 * s1 + i1, 0)
                v1 = v0 > to_f32(0.0)
                v2 = load_f32(p3, i0 * s1 + i1, 3)
                v3 = select(v1, v2, to_f32(0.0))
                store_f32(p3, i0 * s1 + i1, v3, 3)


# matmul_mul_sub: gemm kernel (f32[16, 3], f32[B, 16], f32[B, 3]) -> (f32[16, 3])
#   matmul -> f32[16, 3]
#   mul -> f32[16, 3]
#   sub -> f32[16, 3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    s7 = dim(dims, 8)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        p4 = scratch + s7 - i_low * s1 * 4
        call_symbol(
            "kg_gemm_f32",
            p1 + (i_low * s3) * 4, s3, s0,
            p2 + (j_low * s3) * 4, s1, s3,
            p4 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p4, i0 * s1 + i1, 4)
                v1 = v0 * to_f32(0.1)
                v2 = load_f32(p0, i0 * s1 + i1, 0)
                v3 = v2 - v1
                store_f32(p0, i0 * s1 + i1, v3, 0)


# sum_1: cols kernel (f32[B, 16]) -> (f32[16])
#   sum -> f32[16]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    phase = dim(dims, 0)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    if phase == 0:
        for part in range(begin, end):
            for k0 in range(s2):
                store_f32(p2, part * s2 + k0, to_f32(0), 2)
            low = part * s0
            high = min(low + s0, s1)
            for j0 in range(low, high):
                for k0 in range(s2):
                    v0 = load_f32(p0, j0 * s2 + k0, 0)
                    store_f32(p2, part * s2 + k0, load_f32(p2, part * s2 + k0, 2) + v0, 2)
    else:
        for k0 in range(s2):
            a0 = load_f32(p2, k0, 2)
            for part in range(1, s3):
                a0 = a0 + load_f32(p2, part * s2 + k0, 2)
            store_f32(p1, k0, a0, 1)


# matmul_mul_sub_1: gemm kernel (f32[8, 16], f32[B, 8], f32[B, 16]) -> (f32[8, 16])
#   matmul -> f32[8, 16]
#   mul -> f32[8, 16]
#   sub -> f32[8, 16]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    s7 = dim(dims, 8)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        p4 = scratch + s7 - i_low * s1 * 4
        call_symbol(
            "kg_gemm_f32",
            p1 + (i_low * s3) * 4, s3, s0,
            p2 + (j_low * s3) * 4, s1, s3,
            p4 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p4, i0 * s1 + i1, 4)
                v1 = v0 * to_f32(0.1)
                v2 = load_f32(p0, i0 * s1 + i1, 0)
                v3 = v2 - v1
                store_f32(p0, i0 * s1 + i1, v3, 0)


# mul_sub: map kernel (f32[16], f32[16]) -> (f32[16])
#   mul -> f32[16]
#   sub -> f32[16]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 * to_f32(0.1)
        v2 = load_f32(p0, i0, 0)
        v3 = v2 - v1
        store_f32(p0, i0, v3, 0)


# mul_sub_1: map kernel (f32[3], f32[3]) -> (f32[3])
#   mul -> f32[3]
#   sub -> f32[3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 * to_f32(0.1)
        v2 = load_f32(p0, i0, 0)
        v3 = v2 - v1
        store_f32(p0, i0, v3, 0)
