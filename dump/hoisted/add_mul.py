# add_mul: map kernel (f32[B, 8], f32[B, 1]) -> (f32[B, 8])
#   add -> f32[B, 1]
#   mul -> f32[B, 8]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    s2 = dim(dims, 3)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p1, i0, 1)
        v1 = v0 + to_f32(1.25)
        for i1 in range(s2):
            v2 = load_f32(p0, i0 * s2 + i1, 0)
            v3 = v2 * v1
            store_f32(p2, i0 * s2 + i1, v3, 2)
