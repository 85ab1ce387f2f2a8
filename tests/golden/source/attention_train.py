# matmul: gemm kernel (f32[6*B, 5], f32[5, 8]) -> (f32[6*B, 8])
#   matmul -> f32[6*B, 8]
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
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p0 + (i_low * s2) * 4, s2, s3,
            p1 + (j_low * s3) * 4, s1, s3,
            p2 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )


# matmul_1: gemm kernel (f32[6*B, 5], f32[5, 8]) -> (f32[6*B, 8])
#   matmul -> f32[6*B, 8]
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
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p0 + (i_low * s2) * 4, s2, s3,
            p1 + (j_low * s3) * 4, s1, s3,
            p2 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )


# matmul_2: gemm kernel (f32[6*B, 5], f32[5, 8]) -> (f32[6*B, 8])
#   matmul -> f32[6*B, 8]
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
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p0 + (i_low * s2) * 4, s2, s3,
            p1 + (j_low * s3) * 4, s1, s3,
            p2 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )


# random_uniform_ge_select_attention: attention kernel (f32[B, 6, 2, 4], f32[B, 6, 2, 4], f32[B, 6, 2, 4], bool[B, 1, 1, 6]) -> (f32[B, 6, 2, 4], f32[B, 2, 6], f32[B, 2, 6])
#   random_uniform -> f32[B, 2, 6, 6]
#   ge -> bool[B, 2, 6, 6]
#   select -> f32[B, 2, 6, 6]
#   attention -> f32[B, 6, 2, 4], f32[B, 2, 6], f32[B, 2, 6]
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
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    s7 = dim(dims, 8)
    s8 = dim(dims, 9)
    s9 = dim(dims, 10)
    s10 = dim(dims, 11)
    s11 = dim(dims, 12)
    s12 = dim(dims, 13)
    s13 = dim(dims, 14)
    s14 = dim(dims, 15)
    s15 = dim(dims, 16)
    s16 = dim(dims, 17)
    s17 = dim(dims, 18)
    s18 = dim(dims, 19)
    s19 = dim(dims, 20)
    queries = scratch
    out = scratch + s0
    scores = scratch + s1
    top = scratch + s2
    total = scratch + s3
    shift = scratch + s4
    factor = scratch + s5
    spare = scratch + s6
    for unit in range(begin * s9, min(end * s9, s10)):
        i_low = unit % s7 * 64
        head = unit // s7 % s8
        batch = unit // s7 // s8
        i_high = min(i_low + 64, s11)
        rows = i_high - i_low
        call_symbol(
            "kg_transpose_f32",
            p0 + (batch * s12 + (i_low) * s13 + head * s14) * 4,
            queries,
            rows, s14, s13, 64,
        )
        for c in range(rows):
            store_f32(top, c, to_f32(-float_inf), 10)
            store_f32(total, c, to_f32(0.0), 11)
        if s11 == 0:
            memset0(out, s14 * 256)
            for c in range(rows):
                store_f32(total, c, to_f32(1.0), 11)
        for j_low in range(0, s11, 128):
            j_high = min(j_low + 128, s11)
            keys = j_high - j_low
            if j_low >= i_high:
                low = to_f64(float_inf)
                for c in range(rows):
                    low = minimum(low, to_f64(load_f32(top, c, 10)))
                if low > to_f64(-999999000.0):
                    break
            call_symbol(
                "kg_gemm_f32",
                p1 + (batch * s12 + (j_low) * s13 + head * s14) * 4, s13, 1,
                queries, 64, 1,
                scores, 64,
                keys, rows, s14, 0, spare,
            )
            for c in range(rows):
                store_f32(shift, c, load_f32(top, c, 10), 12)
            for j in range(j_low, j_high):
                v0 = load_bool(p3, batch * s11 + j, 3)
                for i in range(i_low, i_high):
                    c = i - i_low
                    at = (j - j_low) * 64 + c
                    score = load_f32(scores, at, 9) * to_f32(0.5)
                    seen = select(v0, j <= i, False)
                    score = select(seen, score, to_f32(-1000000000.0))
                    store_f32(scores, at, score, 9)
                    best = load_f32(shift, c, 12)
                    store_f32(shift, c, select(score > best, score, best), 12)
            for c in range(rows):
                best = load_f32(shift, c, 12)
                shift_c = select(best == -float_inf, to_f32(0.0), best)
                shrink = m_exp(load_f32(top, c, 10) - shift_c)
                store_f32(factor, c, shrink, 13)
                store_f32(total, c, load_f32(total, c, 11) * shrink, 11)
                store_f32(top, c, best, 10)
                store_f32(shift, c, shift_c, 12)
            v1 = s15
            for j in range(j_low, j_high):
                for i in range(i_low, i_high):
                    c = i - i_low
                    at = (j - j_low) * 64 + c
                    v2 = batch * s16 + head * s17 + i * s11 + j
                    v3 = philox_uniform(1, v1, v2, 2)
                    v4 = v3 >= to_f32(0.25)
                    v5 = select(v4, to_f32(1.3333334), to_f32(0.0))
                    weight = m_exp(load_f32(scores, at, 9) - load_f32(shift, c, 12))
                    store_f32(total, c, load_f32(total, c, 11) + weight, 11)
                    store_f32(scores, at, select(v5 == 0, to_f32(0.0), weight * v5), 9)
            if j_low > 0:
                for e in range(s14):
                    for c in range(rows):
                        store_f32(out, e * 64 + c, load_f32(out, e * 64 + c, 8) * load_f32(factor, c, 13), 8)
            call_symbol(
                "kg_gemm_f32",
                p2 + (batch * s12 + (j_low) * s13 + head * s14) * 4, 1, s13,
                scores, 64, 1,
                out, 64,
                s14, rows, keys, j_low, spare,
            )
        for c in range(rows):
            store_f32(factor, c, to_f32(1.0) / load_f32(total, c, 11), 13)
        for e in range(s14):
            for c in range(rows):
                store_f32(out, e * 64 + c, load_f32(out, e * 64 + c, 8) * load_f32(factor, c, 13), 8)
        call_symbol(
            "kg_transpose_f32",
            out,
            p4 + (batch * s12 + (i_low) * s13 + head * s14) * 4,
            s14, rows, 64, s13,
        )
        for c in range(rows):
            store_f32(p5, batch * s18 + head * s11 + (i_low + c) * s19, load_f32(top, c, 10), 5)
        for c in range(rows):
            store_f32(p6, batch * s18 + head * s11 + (i_low + c) * s19, load_f32(total, c, 11), 6)


# mul_sum_dim_size_div: rows kernel (f32[B, 6, 2, 4]) -> (f32[], f32[B, 6, 2, 4])
#   mul -> f32[B, 6, 2, 4]
#   sum -> f32[]
#   dim_size -> f32[]
#   div -> f32[]
#   div -> f32[]
#   mul -> f32[B, 6, 2, 4]
#   add -> f32[B, 6, 2, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    a0 = to_f32(0)
    v0 = s0
    v1 = to_f32(v0)
    v2 = to_f32(1.0) / v1
    for j0 in range(s0):
        v3 = load_f32(p0, j0, 0)
        v4 = v3 * v3
        v5 = v2 * v3
        v6 = v5 + v5
        a0 = a0 + v4
        store_f32(p2, j0, v6, 2)
    v7 = a0 / v1
    store_f32(p1, 0, v7, 1)


# random_uniform_ge_select_attention_grad: attention_grad kernel (f32[B, 6, 2, 4], f32[B, 6, 2, 4], f32[B, 6, 2, 4], bool[B, 1, 1, 6], f32[B, 6, 2, 4], f32[B, 2, 6], f32[B, 2, 6], f32[B, 6, 2, 4]) -> (f32[B, 6, 2, 4], f32[B, 6, 2, 4], f32[B, 6, 2, 4])
#   random_uniform -> f32[B, 2, 6, 6]
#   ge -> bool[B, 2, 6, 6]
#   select -> f32[B, 2, 6, 6]
#   attention_grad -> f32[B, 6, 2, 4], f32[B, 6, 2, 4], f32[B, 6, 2, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
    p5 = address(ptrs, 5)
    p6 = address(ptrs, 6)
    p7 = address(ptrs, 7)
    p8 = address(ptrs, 8)
    p9 = address(ptrs, 9)
    p10 = address(ptrs, 10)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    s7 = dim(dims, 8)
    s8 = dim(dims, 9)
    s9 = dim(dims, 10)
    s10 = dim(dims, 11)
    s11 = dim(dims, 12)
    s12 = dim(dims, 13)
    s13 = dim(dims, 14)
    s14 = dim(dims, 15)
    s15 = dim(dims, 16)
    s16 = dim(dims, 17)
    s17 = dim(dims, 18)
    s18 = dim(dims, 19)
    s19 = dim(dims, 20)
    queries = scratch
    grads = scratch + s0
    d_queries = scratch + s1
    scores = scratch + s2
    d_scores = scratch + s3
    top = scratch + s4
    share = scratch + s5
    inner = scratch + s6
    spare = scratch + s7
    for unit in range(begin * s8, min(end * s8, s9)):
        head = unit % s10
        batch = unit // s10
        for j in range(s11):
            memset0(p9 + (batch * s12 + (j) * s13 + head * s14) * 4, s14 * 4)
            memset0(p10 + (batch * s12 + (j) * s13 + head * s14) * 4, s14 * 4)
        for i_low in range(0, s11, 64):
            i_high = min(i_low + 64, s11)
            rows = i_high - i_low
            call_symbol(
                "kg_transpose_f32",
                p0 + (batch * s12 + (i_low) * s13 + head * s14) * 4,
                queries,
                rows, s14, s13, 64,
            )
            call_symbol(
                "kg_transpose_f32",
                p7 + (batch * s12 + (i_low) * s13 + head * s14) * 4,
                grads,
                rows, s14, s13, 64,
            )
            for c in range(rows):
                store_f32(top, c, load_f32(p5, batch * s15 + head * s11 + (i_low + c) * s16, 5), 16)
                store_f32(share, c, to_f32(1.0) / load_f32(p6, batch * s15 + head * s11 + (i_low + c) * s16, 6), 17)
                inner_c = to_f32(0.0)
                for e in range(s14):
                    inner_c = inner_c + load_f32(p4, batch * s12 + (i_low + c) * s13 + head * s14 + e, 4) * load_f32(p7, batch * s12 + (i_low + c) * s13 + head * s14 + e, 7)
                store_f32(inner, c, inner_c, 18)
            check = to_f64(0.0)
            for c in range(rows):
                check = maximum(check, to_f64(m_fabs(load_f32(inner, c, 18))))
            finite = check < float_inf
            if s11 == 0:
                memset0(d_queries, s14 * 256)
            for j_low in range(0, s11, 128):
                j_high = min(j_low + 128, s11)
                keys = j_high - j_low
                if j_low >= i_high:
                    low = to_f64(float_inf)
                    for c in range(rows):
                        low = minimum(low, to_f64(load_f32(top, c, 16)))
                    if low > to_f64(-999999000.0) and finite:
                        break
                call_symbol(
                    "kg_gemm_f32",
                    p1 + (batch * s12 + (j_low) * s13 + head * s14) * 4, s13, 1,
                    queries, 64, 1,
                    scores, 64,
                    keys, rows, s14, 0, spare,
                )
                call_symbol(
                    "kg_gemm_f32",
                    p2 + (batch * s12 + (j_low) * s13 + head * s14) * 4, s13, 1,
                    grads, 64, 1,
                    d_scores, 64,
                    keys, rows, s14, 0, spare,
                )
                v0 = s17
                for j in range(j_low, j_high):
                    v1 = load_bool(p3, batch * s11 + j, 3)
                    for i in range(i_low, i_high):
                        c = i - i_low
                        at = (j - j_low) * 64 + c
                        v2 = batch * s18 + head * s19 + i * s11 + j
                        v3 = philox_uniform(1, v0, v2, 2)
                        v4 = v3 >= to_f32(0.25)
                        v5 = select(v4, to_f32(1.3333334), to_f32(0.0))
                        score = load_f32(scores, at, 14) * to_f32(0.5)
                        seen = select(v1, j <= i, False)
                        score = select(seen, score, to_f32(-1000000000.0))
                        weight = m_exp(score - load_f32(top, c, 16)) * load_f32(share, c, 17)
                        grad = load_f32(d_scores, at, 15)
                        grad = weight * (select(v5 == 0, to_f32(0.0), grad * v5) - load_f32(inner, c, 18))
                        grad = grad * to_f32(0.5)
                        grad = select(seen, grad, to_f32(0.0))
                        store_f32(d_scores, at, grad, 15)
                        store_f32(scores, at, select(v5 == 0, to_f32(0.0), weight * v5), 14)
                call_symbol(
                    "kg_gemm_f32",
                    scores, 64, 1,
                    p7 + (batch * s12 + (i_low) * s13 + head * s14) * 4, s13, 1,
                    p10 + (batch * s12 + (j_low) * s13 + head * s14) * 4, s13,
                    keys, s14, rows, 1, spare,
                )
                call_symbol(
                    "kg_gemm_f32",
                    d_scores, 64, 1,
                    p0 + (batch * s12 + (i_low) * s13 + head * s14) * 4, s13, 1,
                    p9 + (batch * s12 + (j_low) * s13 + head * s14) * 4, s13,
                    keys, s14, rows, 1, spare,
                )
                call_symbol(
                    "kg_gemm_f32",
                    p1 + (batch * s12 + (j_low) * s13 + head * s14) * 4, 1, s13,
                    d_scores, 64, 1,
                    d_queries, 64,
                    s14, rows, keys, j_low, spare,
                )
            call_symbol(
                "kg_transpose_f32",
                d_queries,
                p8 + (batch * s12 + (i_low) * s13 + head * s14) * 4,
                s14, rows, 64, s13,
            )


# matmul_mul_sub: gemm kernel (f32[5, 8], f32[6*B, 5], f32[6*B, 8]) -> (f32[5, 8])
#   matmul -> f32[5, 8]
#   mul -> f32[5, 8]
#   sub -> f32[5, 8]
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


# matmul_mul_sub_1: gemm kernel (f32[5, 8], f32[6*B, 5], f32[6*B, 8]) -> (f32[5, 8])
#   matmul -> f32[5, 8]
#   mul -> f32[5, 8]
#   sub -> f32[5, 8]
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


# matmul_mul_sub_2: gemm kernel (f32[5, 8], f32[6*B, 5], f32[6*B, 8]) -> (f32[5, 8])
#   matmul -> f32[5, 8]
#   mul -> f32[5, 8]
#   sub -> f32[5, 8]
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
