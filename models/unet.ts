import type { Feature, GraphBuilder } from '../lib/graph/builder';
import { channelsAt, decoder, doubleConvolution, encoder, head, type NetworkSize } from './blocks';

/**
 * U-Net (Ronneberger et al. 2015) with same padding, batch normalisation and a transposed-convolution decoder.
 * 64 to 1024 channels on 5 levels, 4 modalities, 4 classes: 31 038 404 parameters.
 */
export function unet(b: GraphBuilder, size: NetworkSize): Feature {
  const features = decoder(encoder(b, size), (name, below, skip, level) => {
    const channels = channelsAt(size, level);
    const up = b.convTranspose(`${name}.up`, below, { channels, stride: 2 });
    return doubleConvolution(b, name, b.concat(`${name}.concat`, [skip, up]), channels);
  });
  return head(b, features, size);
}
