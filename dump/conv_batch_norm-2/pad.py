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
