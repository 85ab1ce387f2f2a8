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
