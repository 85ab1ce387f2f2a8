# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("""kgraph 1
graph @head [B >= 1] {
  inputs  %x: f32[B, 4]
  params  %w: f32[5, 2]
  %0: f32[B, 2] = matmul(%x, %w)
  return %0
}
""")
