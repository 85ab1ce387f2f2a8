# matmul_add: gemm kernel (f32[B, 16], f32[B, 4], f32[4, 16]) -> (f32[B, 16])
#   matmul -> f32[B, 16]
#   add -> f32[B, 16]
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
    s7 = dim(dims, 8)
    for task in range(begin, end):
        i_low = quotient(task, s6) * s4
        i_high = min(i_low + s4, s0)
        j_low = remainder(task, s6) * s5
        j_high = min(j_low + s5, s1)
        call_symbol(
            "kg_gemm_f32",
            p1 + (i_low * s2) * 4, s2, s3,
            p2 + (j_low * s3) * 4, s1, s3,
            p3 + (i_low * s1 + j_low) * 4, s1,
            i_high - i_low, j_high - j_low, s2, 0, scratch,
        )
        for i0 in range(i_low, i_high):
            for i1 in range(j_low, j_high):
                v0 = load_f32(p0, i0 * s7 + i1, 0)
                v1 = load_f32(p3, i0 * s1 + i1, 3)
                v2 = v0 + v1
                store_f32(p3, i0 * s1 + i1, v2, 3)


# broadcast_to: map kernel () -> (f32[B, 4])
#   broadcast_to -> f32[B, 4]
#   stop_gradient -> f32[B, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        store_f32(p0, i0, to_f32(0.0), 0)


# split_sigmoid_mul: map kernel (f32[B, 16], f32[B, 4]) -> (f32[B, 4], f32[B, 4], f32[B, 4])
#   split -> f32[B, 4], f32[B, 4], f32[B, 4], f32[B, 4]
#   sigmoid -> f32[B, 4]
#   mul -> f32[B, 4]
#   sigmoid -> f32[B, 4]
#   tanh -> f32[B, 4]
#   mul -> f32[B, 4]
#   add -> f32[B, 4]
#   sigmoid -> f32[B, 4]
#   tanh -> f32[B, 4]
#   mul -> f32[B, 4]
#   stop_gradient -> f32[B, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    s5 = dim(dims, 6)
    s6 = dim(dims, 7)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s2):
            v0 = load_f32(p0, i0 * s3 + i1 + s2, 0)
            v1 = m_sigmoid(v0)
            v2 = load_f32(p1, i0 * s2 + i1, 1)
            v3 = v1 * v2
            v4 = load_f32(p0, i0 * s3 + i1, 0)
            v5 = m_sigmoid(v4)
            v6 = load_f32(p0, i0 * s3 + i1 + s4, 0)
            v7 = m_tanh(v6)
            v8 = v5 * v7
            v9 = v3 + v8
            v10 = load_f32(p0, i0 * s3 + i1 + s5, 0)
            v11 = m_sigmoid(v10)
            v12 = m_tanh(v9)
            v13 = v11 * v12
            store_f32(p1, i0 * s2 + i1, v9, 1)
            store_f32(p3, i0 * s2 + i1, v13, 3)
            store_f32(p4, i0 * s6 + i1, v13, 4)


# copy: map kernel (f32[B, 5, 4]) -> (f32[B, 5, 4])
#   stop_gradient -> f32[B, 5, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p0, i0, 0)
        store_f32(p0, i0, v0, 0)


# copy_1: map kernel (f32[B, 4], f32[B, 4]) -> (f32[B, 4], f32[B, 4])
#   stop_gradient -> f32[B, 4]
#   stop_gradient -> f32[B, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p0, i0, 0)
        v1 = load_f32(p1, i0, 1)
        store_f32(p0, i0, v0, 0)
        store_f32(p1, i0, v1, 1)
