# exp_tanh_mul: map kernel (f32[B, 8]) -> (f32[B, 8], f32[B, 8], f32[B, 8])
#   exp -> f32[B, 8]
#   tanh -> f32[B, 8]
#   mul -> f32[B, 8]
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    p2 = address(ptrs, 2)
    p3 = address(ptrs, 3)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p0, i0, 0)
        v1 = m_exp(v0)
        v2 = m_tanh(v0)
        v3 = v0 * v0
        store_f32(p1, i0, v1, 1)
        store_f32(p2, i0, v2, 2)
        store_f32(p3, i0, v3, 3)
