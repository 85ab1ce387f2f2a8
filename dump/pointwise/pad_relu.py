# pad_relu: map kernel (f32[B, 4, 3, 6]) -> (f32[B, 8, 8, 6])
#   pad -> f32[B, 8, 8, 6]
#   relu -> f32[B, 8, 8, 6]
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
    s11 = dim(dims, 12)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        for i1 in range(s2):
            v0 = select((i1) >= 0, (i1) < s3, False)
            v1 = i1
            v2 = v1 % s4 == 0
            v3 = select(v0, v2, False)
            v4 = v1 // s4
            v5 = select(v3, v4, 0)
            for i2 in range(s2):
                v6 = select((i2 + s5) >= 0, (i2 + s5) < s3, False)
                v7 = i2 + s5
                v8 = v7 % s6 == 0
                v9 = select(v6, v8, False)
                v10 = v7 // s6
                v11 = select(v9, v10, 0)
                v12 = select(v3, v9, False)
                for i3 in range(s7):
                    v13 = load_f32(p0, i0 * s8 + i3 + v5 * s9 + v11 * s7, 0)
                    v14 = select(v12, v13, to_f32(0.0))
                    v15 = select(v14 <= 0, to_f32(0.0), v14)
                    store_f32(p1, i0 * s10 + i1 * s11 + i2 * s7 + i3, v15, 1)
