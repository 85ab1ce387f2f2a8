# sum_dim_size_div: rows kernel (f32[B, 4, 12]) -> (f32[])
#   sum -> f32[]
#   dim_size -> f32[]
#   div -> f32[]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    a0 = to_f32(0)
    for j0 in range(s0):
        v0 = load_f32(p0, j0, 0)
        a0 = a0 + v0
    v1 = s0
    v2 = to_f32(v1)
    v3 = a0 / v2
    store_f32(p1, 0, v3, 1)
