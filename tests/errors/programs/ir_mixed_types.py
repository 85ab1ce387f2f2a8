# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("""kgraph 1
graph @mixed [B >= 1] {
  inputs  %x: f32[B], %n: i32[B]
  %0: f32[B] = add(%x, %n)
  return %0
}
""")
