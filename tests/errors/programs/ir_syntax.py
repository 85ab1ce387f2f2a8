# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("""kgraph 1
graph @double [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B, 4] = add(%x %x)
  return %0
}
""")
