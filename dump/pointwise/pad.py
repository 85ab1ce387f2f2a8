# pad: map kernel (f32[B, 4, 4, 3]) -> (f32[B, 7, 7, 5])
#   pad -> f32[B, 7, 7, 5]
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
    s10 = dim(dims, 11)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s2):
            v0 = select((i1) >= 0, (i1) < s2, False)
            v1 = i1
            v2 = v1 % s3 == 0
            v3 = select(v0, v2, False)
            v4 = v1 // s3
            v5 = select(v3, v4, 0)
            for i2 in range(s2):
                v6 = select((i2) >= 0, (i2) < s2, False)
                v7 = i2
                v8 = v7 % s3 == 0
                v9 = select(v6, v8, False)
                v10 = v7 // s3
                v11 = select(v9, v10, 0)
                v12 = select(v3, v9, False)
                for i3 in range(s4):
                    v13 = select((i3 + s5) >= 0, (i3 + s5) < s6, False)
                    v14 = i3 + s5
                    v15 = select(v13, v14, 0)
                    v16 = select(v12, v13, False)
                    v17 = load_f32(p0, i0 * s7 + v5 * s8 + v11 * s6 + v15, 0)
                    v18 = select(v16, v17, to_f32(0.0))
                    store_f32(p1, i0 * s9 + i1 * s10 + i2 * s4 + i3, v18, 1)
