# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("""kgraph 1
graph @double [B >= 1] {
  inputs  %x: float[B, 4]
  return %x
}
""")
