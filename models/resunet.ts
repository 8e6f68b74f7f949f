import type { Feature, GraphBuilder } from '../lib/graph/builder';
import { channelsAt, decoder, head, type NetworkSize } from './blocks';

/** Pre-activation residual unit (He et al. 2016): two of (normalisation, ReLU, 3×3 convolution) beside a 1×1 shortcut. */
function residualUnit(b: GraphBuilder, name: string, x: Feature, channels: number, stride: 1 | 2): Feature {
  let y = x;
  // The image comes without an activation of its own before it.
  if (x !== b.image) y = b.relu(`${name}.relu1`, b.batchNormalization(`${name}.norm1`, y));
  y = b.conv(`${name}.conv1`, y, { channels, kernel: 3, stride, bias: false });
  y = b.relu(`${name}.relu2`, b.batchNormalization(`${name}.norm2`, y));
  y = b.conv(`${name}.conv2`, y, { channels, kernel: 3, bias: false });
  return b.add(`${name}.add`, y, b.conv(`${name}.shortcut`, x, { channels, kernel: 1, stride }));
}

/**
 * Deep residual U-Net (Zhang et al. 2018): residual units, halved by stride in the encoder, upsampled and joined with the skip in the decoder.
 * 64 to 512 channels on 4 levels, 4 modalities, 4 classes: 8 219 012 parameters.
 */
export function resunet(b: GraphBuilder, size: NetworkSize): Feature {
  const skips: Feature[] = [];
  for (let level = 0; level < size.levels; level++) {
    skips.push(residualUnit(b, `encoder.${level}`, skips.at(-1) ?? b.image, channelsAt(size, level), level > 0 ? 2 : 1));
  }
  const features = decoder(skips, (name, below, skip, level) => {
    const joined = b.concat(`${name}.concat`, [skip, b.upsample(`${name}.upsample`, below, 2, 'nearest')]);
    return residualUnit(b, name, joined, channelsAt(size, level), 1);
  });
  return head(b, features, size);
}
