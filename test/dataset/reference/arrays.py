"""Makes the .npy and .npz files beside it: python arrays.py"""
import numpy as np

count = np.arange(6).reshape(2, 3)
for descr in "<f4 >f4 <f8 >f8 |i1 <i2 >i2 <i4 <i8 >i8 |u1 <u2 >u4 <u8 |b1".split():
    np.save(descr.replace("<", "little-").replace(">", "big-").replace("|", "") + ".npy", count.astype(descr))
np.save("scalar.npy", np.float64(7))
np.save("vector.npy", np.arange(6, dtype="<f8"))

images = np.arange(24, dtype="<f4").reshape(3, 2, 2, 2)
labels = (np.arange(12) % 3).astype("|u1").reshape(3, 2, 2)
np.savez("stored.npz", images=images, labels=labels)
np.savez_compressed("deflated.npz", images=images, labels=labels)
