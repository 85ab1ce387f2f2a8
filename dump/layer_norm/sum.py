# sum: cols kernel (f32[B, 4, 12], f32[B, 4, 12]) -> (f32[12], f32[12])
#   sum -> f32[12]
#   sum -> f32[12]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    p4 = address(ptrs, 4)
    p5 = address(ptrs, 5)
    phase = dim(dims, 0)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    s3 = dim(dims, 4)
    if phase == 0:
        for part in range(begin, end):
            for k0 in range(s2):
                store_f32(p4, part * s2 + k0, to_f32(0), 4)
                store_f32(p5, part * s2 + k0, to_f32(0), 5)
            low = part * s0
            high = min(low + s0, s1)
            for j0 in range(low, high):
                for k0 in range(s2):
                    v0 = load_f32(p0, j0 * s2 + k0, 0)
                    v1 = load_f32(p1, j0 * s2 + k0, 1)
                    store_f32(p4, part * s2 + k0, load_f32(p4, part * s2 + k0, 4) + v0, 4)
                    store_f32(p5, part * s2 + k0, load_f32(p5, part * s2 + k0, 5) + v1, 5)
    else:
        for k0 in range(s2):
            a0 = load_f32(p4, k0, 4)
            for part in range(1, s3):
                a0 = a0 + load_f32(p4, part * s2 + k0, 4)
            a1 = load_f32(p5, k0, 5)
            for part in range(1, s3):
                a1 = a1 + load_f32(p5, part * s2 + k0, 5)
            store_f32(p2, k0, a0, 2)
            store_f32(p3, k0, a1, 3)
