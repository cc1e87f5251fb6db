/** A library of NVIDIA that is fetched, under the names that its sources have for it. */
export interface NvidiaPackage {
  readonly product: "cublas" | "cudnn" | "nvrtc";
  /** what pip is asked for */
  readonly requirement: string;
  /** path of a manifest below the archive's root, and its entry */
  readonly manifest: string;
  readonly entry: string;
  /** the files that are kept of it */
  readonly files: RegExp;
}

/** What the CUDA backend takes of drivers of one CUDA version: cuBLASLt of cuBLAS, cuDNN, and NVRTC, which both load. */
export function packagesFor(cuda: 12 | 13): readonly NvidiaPackage[] {
  const suffix = cuda === 12 ? "-cu12" : "";
  const versions = cuda === 12 ? ">=12.4,<13" : ">=13,<14";
  const manifest = `cuda/redist/redistrib_${cuda === 12 ? "12.9.1" : "13.0.2"}.json`;
  return [
    {
      product: "cublas",
      requirement: `nvidia-cublas${suffix}${versions}`,
      manifest,
      entry: "libcublas",
      files: /^libcublasLt\.so\.\d+/,
    },
    {
      product: "cudnn",
      requirement: `nvidia-cudnn-cu${cuda}>=9.8,<10`,
      manifest: "cudnn/redist/redistrib_9.14.0.json",
      entry: "cudnn",
      files: /^libcudnn.*\.so\.9/,
    },
    {
      product: "nvrtc",
      requirement: `nvidia-cuda-nvrtc${suffix}${versions}`,
      manifest,
      entry: "cuda_nvrtc",
      files: /^libnvrtc(-builtins)?\.so\.\d+/,
    },
  ];
}
