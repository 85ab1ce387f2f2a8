# raises: ParseError, ValueError
import kgraph as keras

keras.ir.parse("")
