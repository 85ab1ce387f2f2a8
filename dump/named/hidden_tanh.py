# hidden_tanh: map kernel (f32[B, 3]) -> (f32[B, 3])
# layers: model/hidden
#   tanh -> f32[B, 3]  # model.py:7, model/hidden
def kernel(ptrs, dims, begin, end, scratch):
    p0 = address(ptrs, 0)
    p1 = address(ptrs, 1)
    s0 = dim(dims, 1)
    s1 = dim(dims, 2)
    low = begin * s0
    high = min(end * s0, s1)
    for i0 in range(low, high):
        v0 = load_f32(p0, i0, 0)
        v1 = m_tanh(v0)
        store_f32(p1, i0, v1, 1)
