// Sets sizes of tiles for the epilogues of products, and leaves tiling to qf-tile.
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%module: !transform.any_op {transform.readonly}) {
    %roots = transform.structured.match ops{["linalg.generic"]} in %module : (!transform.any_op) -> !transform.any_op
    %sizes = transform.param.constant array<i64: 16, 32, 2, 16, 8> -> !transform.any_param
    transform.annotate %roots "qf.tiles" = %sizes : !transform.any_op, !transform.any_param
    transform.yield
  }
}
