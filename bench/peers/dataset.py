"""Decodes a BraTS case as people do it: nibabel, numpy. For every line read: [155, 4, 240, 240] float32, labels [155, 240, 240] uint8.

Needs nibabel and numpy. Prints the seconds that decoding took, checksums of what came out, and which versions did it.
"""
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
import nibabel, numpy

case, threads = sys.argv[1], int(sys.argv[2])
name = case.rstrip("/").split("/")[-1]


def load(which):
    return numpy.asarray(nibabel.load(f"{case}/{name}_{which}.nii.gz").dataobj)


def image(which, into):
    voxels = load(which).astype(numpy.float32)
    brain = voxels != 0
    inside = voxels[brain]
    mean, std = inside.mean(dtype=numpy.float64), inside.std(dtype=numpy.float64)
    voxels -= numpy.float32(mean)
    voxels /= numpy.float32(std)
    voxels[~brain] = 0
    into[...] = voxels.transpose(2, 0, 1)


def labels(into):
    voxels = load("seg").astype(numpy.uint8)
    voxels[voxels == 4] = 3
    into[...] = voxels.transpose(2, 0, 1)


def decode(pool):
    images, segmentation = numpy.empty((155, 4, 240, 240), numpy.float32), numpy.empty((155, 240, 240), numpy.uint8)
    modalities = ("t1", "t1ce", "t2", "flair")
    work = [lambda m=m, c=c: image(m, images[:, c]) for c, m in enumerate(modalities)] + [lambda: labels(segmentation)]
    list(pool.map(lambda f: f(), work)) if pool else [f() for f in work]
    return images, segmentation


pool = ThreadPoolExecutor(threads) if threads > 1 else None
print(json.dumps({"about": f"nibabel {nibabel.__version__}, numpy {numpy.__version__}, Python {sys.version.split()[0]}"}), flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    images, segmentation = decode(pool)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "images": float(images.sum(dtype=numpy.float64)), "squares": float((images.astype(numpy.float64) ** 2).sum()), "labels": int(segmentation.sum())}), flush=True)
