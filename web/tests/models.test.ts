import { describe, expect, it } from 'vitest';
import { licenceName } from '../src/models/licence';
import { Pace } from '../src/models/pace';
import { showBytes } from '../src/words/en';

describe('Pace', () => {
  it('knows nothing after one look, and the rate after two', () => {
    const pace = new Pace();
    pace.look(1_000, 0);
    expect(pace.bytesPerSecond).toBeNull();
    expect(pace.secondsFor(1_000)).toBeNull();
    pace.look(2_000, 500);
    expect(pace.bytesPerSecond).toBe(2_000);
    expect(pace.secondsFor(4_000)).toBe(2);
  });

  it('follows a change without jumping to it', () => {
    const pace = new Pace();
    let bytes = 0;
    for (let second = 0; second < 10; second += 1) pace.look((bytes += 1_000), second * 1_000);
    pace.look((bytes += 9_000), 10_000);
    expect(pace.bytesPerSecond).toBeGreaterThan(1_000);
    expect(pace.bytesPerSecond).toBeLessThan(5_000);
    for (let second = 11; second < 40; second += 1) pace.look((bytes += 9_000), second * 1_000);
    expect(pace.bytesPerSecond).toBeCloseTo(9_000, -1);
  });

  it('is not misled by bytes that were taken back, and starts anew', () => {
    const pace = new Pace();
    pace.look(5_000, 0);
    pace.look(1_000, 1_000);
    expect(pace.bytesPerSecond).toBeNull();
    pace.look(2_000, 2_000);
    expect(pace.bytesPerSecond).toBe(1_000);
    pace.reset();
    expect(pace.bytesPerSecond).toBeNull();
  });
});

describe('what people read', () => {
  it('has sizes in the units that disks are sold in', () => {
    const cases = [
      [900, '1 kB'],
      [84_000_000, '84 MB'],
      [999_000_000, '999 MB'],
      [4_430_000_000, '4.4 GB'],
      [45_000_000_000, '45.0 GB'],
    ] as const;
    for (const [bytes, text] of cases) expect(showBytes(bytes)).toBe(text);
  });

  it('names licences as people know them', () => {
    expect(licenceName('apache-2.0')).toBe('Apache-2.0');
    expect(licenceName('qwen-research')).toBe('Qwen Research');
    expect(licenceName('something-else')).toBe('something-else');
  });
});
