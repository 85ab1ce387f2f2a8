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
    for task in range(begin, end):
        n_low = quotient(task, s1) * s2
        n_high = min(n_low + s2, s4)
        h_low = remainder(task, s1) * s0
        h_high = min(h_low + s0, s3)
        call_symbol(
            "kg_conv2d_f32",
            p0 + h_low * s7 * s8 * 4, p1, p3 + h_low * s8 * 4,
            n_low, n_high, h_high - h_low, s3, s5, s6, s5, s5, s7, s7, s7, s7,
            s5, s8, s9, s6, s10, s11, s6, s8, s12,
            scratch,
        )
        for i0 in range(n_low, n_high):
            for i1 in range(h_low, h_high):
                for i2 in range(s3):
                    for i3 in range(s6):
                        v0 = load_f32(p3, i0 * s12 + i1 * s8 + i2 * s6 + i3, 3)
                        v1 = load_f32(p2, i3, 2)
                        v2 = v0 - v1
                        store_f32(p3, i0 * s12 + i1 * s8 + i2 * s6 + i3, v2, 3)
