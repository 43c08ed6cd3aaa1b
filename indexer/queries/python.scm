; Assignments anywhere: those inside functions become locals (tags.py).

(function_definition name: (identifier) @name.function) @def.function
(class_definition name: (identifier) @name.class) @def.class
(class_definition
  body: (block (expression_statement (assignment left: (identifier) @name.field) @def.field)))
(assignment left: (identifier) @name.variable) @def.variable
(assignment left: (identifier) @name.function right: (lambda)) @def.function
(assignment left: [
  (pattern_list (identifier) @name.variable)
  (tuple_pattern (identifier) @name.variable)]) @def.variable
(type_alias_statement left: (type (identifier) @name.type)) @def.type

(parameters [
  (identifier) @local
  (default_parameter name: (identifier) @local)
  (typed_parameter . (identifier) @local)
  (typed_parameter . (_ (identifier) @local))
  (typed_default_parameter name: (identifier) @local)
  (list_splat_pattern (identifier) @local)
  (dictionary_splat_pattern (identifier) @local)])
(lambda_parameters [
  (identifier) @local
  (default_parameter name: (identifier) @local)
  (list_splat_pattern (identifier) @local)
  (dictionary_splat_pattern (identifier) @local)])
(for_statement left: [
  (identifier) @local
  (pattern_list (identifier) @local)
  (tuple_pattern (identifier) @local)
  (pattern_list (tuple_pattern (identifier) @local))])
(for_in_clause left: [
  (identifier) @local
  (pattern_list (identifier) @local)
  (tuple_pattern (identifier) @local)
  (pattern_list (tuple_pattern (identifier) @local))])
(as_pattern_target (identifier) @local)
(as_pattern_target (tuple (identifier) @local))
(named_expression name: (identifier) @local)
(aliased_import alias: (identifier) @local)

(import_statement name: (dotted_name) @ref.import)
(import_statement name: (aliased_import name: (dotted_name) @ref.import))
(import_from_statement module_name: (_) @ref.import)
(import_from_statement name: (dotted_name) @ref.import)
(import_from_statement name: (aliased_import name: (dotted_name) @ref.import))
(class_definition superclasses: (argument_list [
  (identifier) @ref.inherit
  (attribute attribute: (identifier) @ref.inherit)
  (subscript value: (identifier) @ref.inherit)
  (keyword_argument value: (identifier) @ref.inherit)]))
(call function: [(identifier) @ref.call (attribute attribute: (identifier) @ref.call)])
(decorator [(identifier) @ref.call (attribute attribute: (identifier) @ref.call)])
(type [
  (identifier) @ref.type
  (attribute attribute: (identifier) @ref.type)
  (generic_type (identifier) @ref.type)
  (binary_operator (identifier) @ref.type)
  (subscript value: (identifier) @ref.type)])
(assignment left: (attribute attribute: (identifier) @member.write))
(augmented_assignment left: [(identifier) @ref.write (attribute attribute: (identifier) @member.write)])
(keyword_argument name: (identifier) @ref.other)
(attribute attribute: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
(decorator) @attach
