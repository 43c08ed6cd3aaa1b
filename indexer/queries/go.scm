; The receiver's type is not the container of a method: it lies elsewhere in the file.

(function_declaration name: (identifier) @name.function) @def.function
(method_declaration name: (field_identifier) @name.method) @def.method
(type_spec name: (type_identifier) @name.type) @def.type
(type_spec name: (type_identifier) @name.struct type: (struct_type)) @def.struct
(type_spec name: (type_identifier) @name.interface type: (interface_type)) @def.interface
(type_alias name: (type_identifier) @name.type) @def.type
(method_elem name: (field_identifier) @name.method) @def.method
(field_declaration name: (field_identifier) @name.field) @def.field
(const_spec (identifier) @name.constant) @def.constant
((var_spec name: (identifier) @name.variable) @def.variable (#not-eq? @name.variable "_"))
(package_clause (package_identifier) @name.module) @def.module

(parameter_declaration name: (identifier) @local)
(variadic_parameter_declaration name: (identifier) @local)
(type_parameter_declaration name: (identifier) @local)
(short_var_declaration left: (expression_list (identifier) @local))
(range_clause left: (expression_list (identifier) @local))
(type_switch_statement alias: (expression_list (identifier) @local))
(receive_statement left: (expression_list (identifier) @local))

(import_spec path: (interpreted_string_literal (interpreted_string_literal_content) @ref.import))
(import_spec name: (package_identifier) @local)
(field_declaration !name type: (type_identifier) @ref.inherit)
(field_declaration !name type: (qualified_type name: (type_identifier) @ref.inherit))
(interface_type (type_elem [
  (type_identifier) @ref.inherit
  (qualified_type name: (type_identifier) @ref.inherit)]))
(call_expression function: [
  (identifier) @ref.call
  (selector_expression field: (field_identifier) @ref.call)
  (type_instantiation_expression type: (type_identifier) @ref.call)])
(assignment_statement left: (expression_list [
  (identifier) @ref.write
  (selector_expression field: (field_identifier) @member.write)]))
(inc_statement [(identifier) @ref.write (selector_expression field: (field_identifier) @member.write)])
(dec_statement [(identifier) @ref.write (selector_expression field: (field_identifier) @member.write)])
(keyed_element key: (literal_element (identifier) @member.write))
(type_identifier) @ref.type
(field_identifier) @member.read
(identifier) @ref.read

(comment) @attach
