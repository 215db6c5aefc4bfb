import { describe, expect, test } from 'vitest';
import { contentOf, contentText, moreIn, NOTHING } from '../../../src/stores/falkordb/graph-content.js';

const content = {
  nodes: { Memory: 600, Visitor: 2 },
  relationships: { co_inferred: 260, vector_neighbour: 10_400, co_occurs: 1_500 },
};

describe('what a graph holds', () => {
  test('is said by kind, most first', () => {
    expect(contentText(content)).toBe(
      '602 nodes (of these 2 Visitor), 12,160 relationships: 10,400 vector_neighbour, 1,500 co_occurs, 260 co_inferred',
    );
    expect(contentText(NOTHING)).toBe('0 nodes, 0 relationships');
  });

  test('is read from an inventory, where other types keep their name', () => {
    const count = (number: number) => ({ count: number, strength: '0', ids: '' });
    const graph = {
      nodes: { '[Memory]': count(3) },
      relationships: { 'RELATES co_occurs': count(2), 'SEES (no kind)': count(1) },
      indexes: [],
      constraints: [],
    };
    const inventory = { serverVersion: '', moduleVersion: '', graphs: { novamem: graph } };
    expect(contentOf(inventory, 'novamem')).toEqual({
      nodes: { Memory: 3 },
      relationships: { co_occurs: 2, 'SEES (no kind)': 1 },
    });
    expect(contentOf(inventory, 'other')).toBeUndefined();
  });

  test('is compared by kind: what one has more, never what it has less', () => {
    const less = { nodes: { Memory: 590 }, relationships: { vector_neighbour: 11_000, co_occurs: 1_360 } };
    expect(moreIn(content, less)).toBe('12 nodes, 260 co_inferred, 140 co_occurs');
    expect(moreIn(less, content)).toBe('600 vector_neighbour');
    expect(moreIn(content, content)).toBe('');
  });
});
