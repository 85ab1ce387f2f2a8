# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("""kgraph 1
graph @total [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B] = sum(%x) {axis = 1}
  return %0
}
""")
