; What has an id can be found by it. Custom elements (a hyphen in the name) are uses of a component.
; Elements are captured apart from their attributes: see markdown.scm.

(element) @def.element
(script_element) @def.element
(style_element) @def.element
((attribute (attribute_name) @_name [
    (quoted_attribute_value (attribute_value) @name.element)
    (attribute_value) @name.element])
  (#eq? @_name "id"))

((start_tag (tag_name) @ref.call) (#match? @ref.call "-"))
((self_closing_tag (tag_name) @ref.call) (#match? @ref.call "-"))
((attribute (attribute_name) @_name (quoted_attribute_value (attribute_value) @ref.other))
  (#eq? @_name "class") (#match? @ref.other "^[^ \n\t]+$"))
((attribute (attribute_name) @_name (quoted_attribute_value (attribute_value) @ref.import))
  (#any-of? @_name "src" "href") (#match? @ref.import "\\.(css|m?js)$"))

(comment) @attach
