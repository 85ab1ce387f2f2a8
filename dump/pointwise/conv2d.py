# conv2d: conv kernel (f32[B, 4, 3, 5], f32[1, 1, 5, 6]) -> (f32[B, 4, 3, 6])
#   conv2d -> f32[B, 4, 3, 6]
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
    s8 = dim(dims, 9)
    s9 = dim(dims, 10)
    s10 = dim(dims, 11)
    s11 = dim(dims, 12)
    s12 = dim(dims, 13)
    s13 = dim(dims, 14)
    for task in range(begin, end):
        n_low = quotient(task, s1) * s2
        n_high = min(n_low + s2, s4)
        h_low = remainder(task, s1) * s0
        h_high = min(h_low + s0, s3)
        call_symbol(
            "kg_conv2d_f32",
            p0 + h_low * s8 * s9 * 4, p1, p2 + h_low * s12 * 4,
            n_low, n_high, h_high - h_low, s5, s6, s7, s8, s8, s8, s8, s8, s8,
            s6, s9, s10, s7, s11, s11, s7, s12, s13,
            scratch,
        )
