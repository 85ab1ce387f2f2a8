# pad: map kernel (f32[B, 6, 6, 3]) -> (f32[B, 8, 8, 3])
#   pad -> f32[B, 8, 8, 3]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
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
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s2):
            v0 = select((i1 + s3) >= 0, (i1 + s3) < s4, False)
            v1 = i1 + s3
            v2 = select(v0, v1, 0)
            for i2 in range(s2):
                v3 = select((i2 + s3) >= 0, (i2 + s3) < s4, False)
                v4 = i2 + s3
                v5 = select(v3, v4, 0)
                v6 = select(v0, v3, False)
                for i3 in range(s5):
                    v7 = load_f32(p0, i0 * s6 + i3 + v2 * s7 + v5 * s5, 0)
                    v8 = select(v6, v7, to_f32(0.0))
                    store_f32(p1, i0 * s8 + i1 * s9 + i2 * s5 + i3, v8, 1)


# conv2d_sub: conv kernel (f32[B, 8, 8, 3], f32[3, 3, 3, 4], f32[4]) -> (f32[B, 6, 6, 4])
#   conv2d -> f32[B, 6, 6, 4]
#   sub -> f32[B, 6, 6, 4]
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
    s8 = dim(dims, 9)
    s9 = dim(dims, 10)
    s10 = dim(dims, 11)
    s11 = dim(dims, 12)
    s12 = dim(dims, 13)
    s13 = dim(dims, 14)
    s14 = dim(dims, 15)
    for task in range(begin, end):
        n_low = quotient(quotient(task, s1), s0) * s2
        n_high = min(n_low + s2, s3)
        h_low = remainder(quotient(task, s1), s0) * s4
        h_high = min(h_low + s4, s5)
        c_low = remainder(task, s1) * s6
        c_high = min(c_low + s6, s7)
        call_symbol(
            "kg_conv2d_f32",
            p0 + h_low * s8 * s9 * 4, p1 + c_low * 4, p3 + h_low * s9 * 4 + c_low * 4,
            n_low, n_high, h_high - h_low, s5, s10, c_high - c_low, s10, s10, s8, s8, s8, s8,
            s10, s9, s11, s7, s12, s13, s7, s9, s14,
            scratch,
        )
        for i0 in range(n_low, n_high):
            for i1 in range(h_low, h_high):
                for i2 in range(s5):
                    for i3 in range(c_low, c_high):
                        v0 = load_f32(p3, i0 * s14 + i1 * s9 + i2 * s7 + i3, 3)
                        v1 = load_f32(p2, i3, 2)
                        v2 = v0 - v1
                        store_f32(p3, i0 * s14 + i1 * s9 + i2 * s7 + i3, v2, 3)


# add_rsqrt_mul: map kernel (f32[4], f32[4]) -> (f32[4])
#   add -> f32[4]
#   rsqrt -> f32[4]
#   mul -> f32[4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 + to_f32(0.001)
        v2 = m_rsqrt(v1)
        v3 = load_f32(p0, i0, 0)
        v4 = v3 * v2
        store_f32(p2, i0, v4, 2)


# mul_add_relu_sum: cols kernel (f32[B, 6, 6, 4], f32[4], f32[4]) -> (f32[B, 6, 6, 4], f32[B, 4])
#   mul -> f32[B, 6, 6, 4]
#   add -> f32[B, 6, 6, 4]
#   relu -> f32[B, 6, 6, 4]
#   sum -> f32[B, 4]
#   div -> f32[B, 4]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    s4 = dim(dims, 5)
    low = begin * s0
    high = min(end * s0, s1)
    p5 = scratch + 0 * 8 * s2
    for i0 in range(low, high):
        for k0 in range(s2):
            store_f32(p5, k0, to_f32(0), 5)
        for j0 in range(s3):
            for k0 in range(s2):
                v0 = load_f32(p0, i0 * s4 + j0 * s2 + k0, 0)
                v1 = load_f32(p1, k0, 1)
                v2 = v0 * v1
                v3 = load_f32(p2, k0, 2)
                v4 = v2 + v3
                v5 = select(v4 <= 0, to_f32(0.0), v4)
                store_f32(p5, k0, load_f32(p5, k0, 5) + v5, 5)
                store_f32(p3, i0 * s4 + j0 * s2 + k0, v5, 3)
        for k0 in range(s2):
            a0 = load_f32(p5, k0, 5)
            v6 = a0 / to_f32(36.0)
            store_f32(p4, i0 * s2 + k0, v6, 4)
