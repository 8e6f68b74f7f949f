import type { Feature, GraphBuilder } from '../lib/graph/builder';
import { channelsAt, decoder, doubleConvolution, encoder, head, type NetworkSize } from './blocks';

/**
 * DeepSeg (Zeineldin et al. 2020): two 3×3 convolutions with batch normalisation and ReLU a level, decoder of upsampling and a
 * 2×2 convolution, skips by concatenation. The authors' code has a ReLU after the 2×2 convolution and a 3×3 head besides.
 * 32 to 512 filters on 5 levels, 4 modalities, 4 classes: 7 763 428 parameters.
 */
export function deepseg(b: GraphBuilder, size: NetworkSize): Feature {
  const features = decoder(encoder(b, size), (name, below, skip, level) => {
    const channels = channelsAt(size, level);
    const up = b.conv(`${name}.up`, b.upsample(`${name}.upsample`, below, 2, 'nearest'), { channels, kernel: 2 });
    return doubleConvolution(b, name, b.concat(`${name}.concat`, [skip, up]), channels);
  });
  return head(b, features, size);
}
