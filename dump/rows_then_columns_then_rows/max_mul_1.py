# max_mul_1: cols kernel (f32[B, 6]) -> (f32[1, 6])
#   max -> f32[1, 6]
#   mul -> f32[1, 6]
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
                store_f32(p2, part * s2 + k0, to_f32(-float_inf), 2)
            low = part * s0
            high = min(low + s0, s1)
            for j0 in range(low, high):
                for k0 in range(s2):
                    v0 = load_f32(p0, j0 * s2 + k0, 0)
                    store_f32(p2, part * s2 + k0, maximum(load_f32(p2, part * s2 + k0, 2), v0), 2)
    else:
        for k0 in range(s2):
            a0 = load_f32(p2, k0, 2)
            for part in range(1, s3):
                a0 = maximum(a0, load_f32(p2, part * s2 + k0, 2))
            v1 = a0 * to_f32(0.5)
            store_f32(p1, k0, v1, 1)
