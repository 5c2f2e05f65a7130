// Arrays as they travel between a front end and Python: a shape, and numbers as bytes.

/**
 * The numbers in a view of bytes, copied.
 *
 * @param {DataView} view
 * @param {typeof Float32Array|typeof Float64Array} Type what the bytes hold
 */
export function numbersOf({ buffer, byteOffset, byteLength }, Type) {
  return new Type(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Numbers as they are sent, with their shape; copied, so that they may change afterwards. */
export const pack = (array, shape) => ({ shape, data: new DataView(array.slice().buffer) });
